from .labelled import Vocabulary as Vocabulary
from .prepare import prepare_labelled as prepare_labelled
from .source import source_of as source_of
