from .loop import Outcome as Outcome
from .loop import train as train
from .optim import make_optimizer as make_optimizer
from .task import task_on as task_on
from .team import connect as connect
from .together import follow as follow
from .together import train_together as train_together
