"""All routes of the settings, those with the most exact paths first."""

from fastapi import APIRouter, Response

from server.web.pages.draw import HEADERS
from server.web.pages.settings import (
    about_routes,
    access_routes,
    backup_routes,
    host_routes,
    key_routes,
    section_routes,
    service_routes,
)
from server.web.pages.site import Site


async def _first() -> Response:
    return Response(status_code=303, headers={"location": "/settings/hosts"} | HEADERS)


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    router.add_api_route("/settings", _first, methods=["GET"], response_class=Response)
    for module in (
        host_routes,
        service_routes,
        access_routes,
        key_routes,
        about_routes,
        backup_routes,
        section_routes,
    ):
        module.add(router, site)
