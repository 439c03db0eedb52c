from .code import Content as Content
from .code import code_folder as code_folder
from .code import content as content
from .code import snapshot as snapshot
from .names import RUN_NAMES as RUN_NAMES
from .readers import Reports as Reports
