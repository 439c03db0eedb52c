from .loop import Outcome as Outcome
from .loop import train as train
from .optim import make_optimizer as make_optimizer
from .team import connect as connect
