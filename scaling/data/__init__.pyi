from .batches import ExampleData as ExampleData
from .batches import TokenData as TokenData
from .info import DataInfo as DataInfo
from .registry import DATASETS as DATASETS
from .registry import describe_data as describe_data
from .registry import fetch_data as fetch_data
from .registry import list_data as list_data
from .registry import open_data as open_data
