from .describe import OrderFacts as OrderFacts
from .describe import describe_tokens as describe_tokens
from .grams import Counts as Counts
from .grams import count as count
from .smoothing import Smoothed as Smoothed
from .smoothing import smooth as smooth
from .train import train as train
