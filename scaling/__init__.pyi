from .base import Store as Store
from .families import FAMILIES as FAMILIES
from .program_spec import COUNTED as COUNTED
from .program_spec import PLACES as PLACES
from .program_spec import Counts as Counts
from .program_spec import Program as Program
from .program_spec import ProgramSpec as ProgramSpec
from .schedule import cooldown_start as cooldown_start
from .schedule import evaluated as evaluated
from .schema import COLUMNS as COLUMNS
from .schema import CURVE_COLUMNS as CURVE_COLUMNS
from .schema import LABELS as LABELS
from .schema import RUN_COLUMNS as RUN_COLUMNS
from .schema import find_column as find_column
from .schema import normalise as normalise
from .spec import DEFAULT_DATA as DEFAULT_DATA
from .spec import LARGEST_SEED as LARGEST_SEED
from .spec import PLANNED_COLUMNS as PLANNED_COLUMNS
from .spec import TOP_OPTIONS as TOP_OPTIONS
from .spec import RunSpec as RunSpec
from .spec_parts import PARTS as PARTS
from .specs import Spec as Spec
from .specs import read_spec as read_spec
from .trainers import follow as follow
from .trainers import train as train
from .trainers import train_together as train_together

__version__: str
