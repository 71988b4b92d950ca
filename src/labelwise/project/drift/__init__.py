"""Have new data moved away from what a project's model was taught on; which modality; what may that cost; what to label."""

from labelwise.project.drift.comparing import Moved
from labelwise.project.drift.costs import Costs
from labelwise.project.drift.known import Known
from labelwise.project.drift.measuring import Drift, drift, drift_between
from labelwise.project.drift.whom import Pick, Stratum, Whom

__all__ = ["Costs", "Drift", "Known", "Moved", "Pick", "Stratum", "Whom", "drift", "drift_between"]
