from .launch import Submission as Submission
from .launch import submit as submit
from .status import sweep_status as sweep_status
