"""What each section of a report's page shows: one module and one template for each.

A module has `context(report)`, which returns what its template names, or None where there is
nothing to show and the section is left out.
"""
