"""labelwise: label what matters. The face: select, make, Signals, View, Campaign, Plan, Strategy, Proposal."""

from labelwise.campaign import Campaign
from labelwise.events import Plan
from labelwise.selection import select
from labelwise.signals import Needs, Signals, View
from labelwise.strategies import make
from labelwise.strategies.base import Outcome, Proposal, Strategy

__version__ = "0.1.0"
__all__ = [
    "Campaign",
    "Needs",
    "Outcome",
    "Plan",
    "Proposal",
    "Signals",
    "Strategy",
    "View",
    "make",
    "select",
]
