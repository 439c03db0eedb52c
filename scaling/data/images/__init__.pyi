from .labelled import source_of as source_of
from .prepare import prepare_labelled as prepare_labelled
