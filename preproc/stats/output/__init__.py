"""Statistics as people see them: tables and a bar on a terminal, a page, files.

In: Stats, and how far two are apart. Out: text on stdout, HTML, and what took long to count kept somewhere, whatever happens.
Never: a number that the statistics do not have; matplotlib, but for the page.
"""

from .keeping import check_targets, keep
from .progress import counting_bar
from .report import report_page
from .tables import printable, show_drift, show_stats

__all__ = ["check_targets", "counting_bar", "keep", "printable", "report_page", "show_drift", "show_stats"]
