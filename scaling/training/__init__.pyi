from .alike import ensemble_key as ensemble_key
from .ensemble import Entry as Entry
from .ensemble import train_ensemble as train_ensemble
from .loop import train as train
from .optim import make_optimizer as make_optimizer
from .task import task_on as task_on
from .team import Team as Team
from .team import connect as connect
