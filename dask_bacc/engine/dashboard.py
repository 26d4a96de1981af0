"""Pages of one's own on a scheduler's dashboard, while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

from bokeh.document import Document
from bokeh.server.tornado import BokehTornado
from distributed import Scheduler
from distributed.dashboard.components import add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables
from tornado.ioloop import IOLoop

#: Milliseconds between two updates of a page.
INTERVAL = 250
#: How names of panels begin.
PANEL = "individual-"


class Component(Protocol):
    """What a page shows; kept up to date for as long as somebody looks."""

    #: a Bokeh model
    root: Any

    def update(self) -> None:
        """Show how things stand."""


@dataclass(frozen=True)
class Page:
    """A page of a dashboard."""

    title: str
    #: make what it shows, from above to below
    components: Sequence[Callable[[Scheduler], Component]]
    #: whether it is shown alone, without the dashboard's bar
    is_panel: bool = False


def add_pages(scheduler: Scheduler, pages: Mapping[str, Page]) -> None:
    """Add pages to the dashboard of a scheduler that runs; on its event loop.

    Panels, whose names begin with ``/individual-``, are listed as such, others in the bar at the
    top of all pages.

    Raises
    ------
    ValueError
        If the scheduler has no dashboard.
    """
    applications = scheduler.http_application.applications
    first = next((app for app in applications if isinstance(app, BokehTornado)), None)
    if first is None:
        raise ValueError("the scheduler has no dashboard; start it with one")
    # The same mapping, and in it the same lists, that all pages have.
    variables = template_variables(scheduler)
    added = BokehApplication(
        {name: partial(_fill, page) for name, page in pages.items()},
        scheduler,
        prefix=first.prefix,
        template_variables=variables,
    )
    scheduler.http_application.add_application(added)
    added.initialize(IOLoop.current())
    added.start()
    # Panels are found among the pages of the first application.
    cast(dict[str, Any], first.applications).update(added.applications)
    for name, page in pages.items():
        url = name.strip("/")
        if page.is_panel:
            title = url.removeprefix(PANEL).replace("-", " ").title()
            variables["plots"].append({"url": url, "name": title})
        else:
            variables["pages"].append(url)


def _fill(page: Page, scheduler: Scheduler, variables: dict[str, Any], document: Document) -> None:
    """The document of a page."""
    for kind in page.components:
        component = kind(scheduler)
        component.update()
        add_periodic_callback(document, component, INTERVAL)
        document.add_root(component.root)
    document.title = page.title
    document.theme = BOKEH_THEME
    if not page.is_panel:
        document.template = env.get_template("simple.html")
        document.template_variables.update(variables)
