"""Readers of published data sets in the folders they are published in: one file a layout."""

from lnn_edge.data.layouts import snomed, uci_har_text
from lnn_edge.data.layouts.challenge2012 import CHALLENGE2012
from lnn_edge.data.layouts.cinc2017 import CINC2017
from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.layouts.opportunity import OPPORTUNITY
from lnn_edge.data.layouts.pamap2 import PAMAP2
from lnn_edge.data.layouts.person_activity import PERSON_ACTIVITY
from lnn_edge.data.layouts.speech_commands import SPEECH_COMMANDS

LAYOUTS: tuple[Layout, ...] = (
    uci_har_text.WINDOWS,
    uci_har_text.RAW,
    CINC2017,
    snomed.CHALLENGE2021,
    snomed.CPSC2018,
    snomed.CHAPMAN,
    PAMAP2,
    OPPORTUNITY,
    PERSON_ACTIVITY,
    CHALLENGE2012,
    SPEECH_COMMANDS,
)
