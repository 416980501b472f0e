"""The page of one section of the settings: a form made from its schema. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from server.base.errors import SparkError
from server.config.load import ConfigError
from server.config.marks import Origin
from server.config.model import Where
from server.web.pages.form import VERSION, FormView, fresh, outdated
from server.web.pages.form import refused as refused_form
from server.web.pages.frame import Frame
from server.web.pages.frame import Page as BasePage
from server.web.pages.settings import sections
from server.web.pages.settings.fields import (
    FieldGroup,
    base_of,
    field_groups,
    read,
    shown,
    touched,
)
from server.web.pages.settings.sections import TABS, Tab

BASE = "base"


@dataclass(frozen=True, slots=True)
class SettingsPage(BasePage):
    """`tab` is the key of the entry of `TABS` that this page is. `problems` say why `config.yaml`
    as it is now was not taken, on the pages that would save into it."""

    tab: str
    problems: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def tabs(self) -> Sequence[Tab]:
        return TABS


@dataclass(frozen=True, slots=True)
class SectionForm:
    """A form whose fields come from the schema: what was typed in `form`, what it showed when it
    was drawn in `base`. It is sent to `action` and answered with itself when it is refused."""

    template: ClassVar[str] = "settings/form.html"

    id: str
    action: str
    submit: str
    groups: tuple[FieldGroup, ...]
    form: FormView
    base: str


@dataclass(frozen=True, slots=True)
class SectionPage(SettingsPage):
    template: ClassVar[str] = "settings/section.html"

    section: str
    title: str
    about: str
    note: str
    fields: SectionForm


def section_page(
    frame: Frame, section: str, fields: SectionForm, problems: Sequence[str]
) -> SectionPage:
    page = sections.PAGES[section]
    return SectionPage(
        frame,
        section,
        section,
        page.title,
        page.about,
        page.note,
        fields,
        problems=tuple(problems),
    )


def opened(
    section: str,
    values: Mapping[str, Any],
    mark: str,
    *,
    action: str = "",
    submit: str = "Save",
    origins: Mapping[str, Origin] | None = None,
    offers: Mapping[str, Sequence[str]] | None = None,
) -> SectionForm:
    """As it is opened: `values` are those in force, as JSON has them."""
    texts = shown(section, values)
    groups = field_groups(section, origins=origins, offers=offers)
    where = action or f"/ui/settings/{section}"
    return SectionForm(
        f"settings-{section}", where, submit, groups, fresh(texts, mark), base_of(texts)
    )


def kept(before: SectionForm, given: Mapping[str, str]) -> SectionForm:
    """With what was typed and nothing wrong. `before` is as it would be opened now."""
    names = {name for name, _ in before.form.values}
    typed = {**dict(before.form.values), **{k: v for k, v in given.items() if k in names}}
    form = FormView(tuple(typed.items()), version=given.get(VERSION, ""))
    return replace(before, form=form, base=given.get(BASE, before.base))


def refused(before: SectionForm, given: Mapping[str, str], error: SparkError) -> SectionForm:
    """With what was typed, and each mistake at its field."""
    shown_again = kept(before, given)
    typed = dict(shown_again.form.values)
    names = list(typed)
    if isinstance(error, ConfigError):
        listed = dict(reversed([(_key(where), what) for where, what in error.found]))
        at_fields = tuple(
            (name, what[:1].upper() + what[1:]) for name, what in listed.items() if name in names
        )
        elsewhere = () if at_fields else error.problems
        form = FormView(
            tuple(typed.items()),
            errors=at_fields,
            message=" ".join(elsewhere) if elsewhere else "Not saved: look at the marked fields.",
            version=given.get(VERSION, ""),
        )
    else:
        form = refused_form({**typed, VERSION: given.get(VERSION, "")}, error, names)
    return replace(shown_again, form=form)


def stale(before: SectionForm, given: Mapping[str, str]) -> SectionForm:
    """What was touched stays as typed, the rest is as it is saved now."""
    saved = dict(before.form.values)
    mine = touched({k: v for k, v in given.items() if k in saved}, given.get(BASE, ""))
    form = outdated({**saved, **mine}, saved, before.form.version)
    return replace(before, form=form)


def _key(where: Where) -> str:
    """`services.0.links.1.url` is a matter of the field `links`."""
    return next((part for part in where[1:] if isinstance(part, str)), "")


def changes(section: str, given: Mapping[str, str]) -> dict[str, Any]:
    """What the person changed, as values of the file."""
    return read(section, touched(given, given.get(BASE, "")))
