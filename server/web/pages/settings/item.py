"""One item of a list of the settings, a host or a service: its form and what the form means. Pure.

The form is that of a section; what makes it an item is that it has a name of its own, which may be
new, and that it is checked by itself before it is saved.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from server.config.explain import explain
from server.config.load import ConfigError
from server.config.model import Host, Service
from server.web.pages.settings import section as sections
from server.web.pages.settings.fields import read
from server.web.pages.settings.section import SectionForm

Offers = Mapping[str, Sequence[str]]
Item = TypeVar("Item", bound=BaseModel)


MODELS: Mapping[str, type[BaseModel]] = MappingProxyType({"hosts": Host, "services": Service})


def blank(section: str, action: str, offers: Offers, submit: str) -> SectionForm:
    """For a new one: the defaults are in it."""
    values = {
        key: field.get_default()
        for key, field in MODELS[section].model_fields.items()
        if not field.is_required()
    }
    return sections.opened(section, values, "", action=action, submit=submit, offers=offers)


def existing(
    section: str, item: BaseModel, mark: str, *, action: str, offers: Offers
) -> SectionForm:
    values: dict[str, Any] = item.model_dump(mode="json")
    return sections.opened(section, values, mark, action=action, offers=offers)


def meant(
    model: type[Item], section: str, given: Mapping[str, str], old: Item | None = None
) -> Item:
    """What was typed, over `old` where a field was not sent. Raises `ConfigError` with every
    mistake, in the words that a mistake in the file would have."""
    before: dict[str, Any] = {} if old is None else old.model_dump(mode="json")
    body = before | read(section, given)
    try:
        return model.model_validate({key: value for key, value in body.items() if value != ""})
    except ValidationError as error:
        found = [
            explain({**entry, "loc": (section, 0, *entry["loc"])})
            for entry in error.errors(include_url=False)
        ]
    raise ConfigError(tuple(what for _, what in found), tuple(found))
