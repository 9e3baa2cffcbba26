"""Command lines to the rest of the package, the only place that says "--flag"."""
