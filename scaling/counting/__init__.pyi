from .grams import Counts as Counts
from .grams import count as count
from .smoothing import Smoothed as Smoothed
from .smoothing import smooth as smooth
from .train import train as train
