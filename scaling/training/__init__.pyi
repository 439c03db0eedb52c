from .loop import train as train
from .optim import make_optimizer as make_optimizer
from .task import task_on as task_on
from .team import Team as Team
from .team import connect as connect
