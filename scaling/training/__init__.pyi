from .loop import train as train
from .optim import make_optimizer as make_optimizer
from .team import Team as Team
from .team import connect as connect
