"""Beat symbols of WFDB annotations and the classes of ANSI/AAMI EC57."""

from __future__ import annotations

CLASSES = ("N", "S", "V", "F")

# As de Chazal et al. 2004, table 1, use them: escape beats of the atria and the node (e j) count as
# N. B, n and r do not occur in MIT-BIH; they follow the symbols that they generalise (L R, e j, V).
_SYMBOLS = {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F"}
CLASS_OF = {symbol: name for name, symbols in _SYMBOLS.items() for symbol in symbols}
UNSCORED = tuple("/fQ?")
"""Beats of no class."""
FLUTTER = "[", "]"
"""Marks around ventricular flutter, in which EC57 compares no beats."""
