"""Laws of how a model is trained: batch size, learning rate, schedule."""

from __future__ import annotations

from analysis.laws.training.annealing import ANNEALING
from analysis.laws.training.annealing_at_once import ANNEALING_AT_ONCE
from analysis.laws.training.batch_data import BATCH_DATA
from analysis.laws.training.batch_steps import BATCH_STEPS
from analysis.laws.training.critical_batch import CRITICAL_BATCH
from analysis.laws.training.multi_power import MULTI_POWER
from analysis.laws.training.schedules import with_schedule_sums
from analysis.laws.training.step_law_batch import STEP_LAW_BATCH
from analysis.laws.training.step_law_loss import STEP_LAW_LOSS
from analysis.laws.training.step_law_lr import STEP_LAW_LR

LAWS = (
    BATCH_DATA,
    BATCH_STEPS,
    CRITICAL_BATCH,
    STEP_LAW_LR,
    STEP_LAW_BATCH,
    STEP_LAW_LOSS,
    ANNEALING,
    ANNEALING_AT_ONCE,
    MULTI_POWER,
)

__all__ = ["LAWS", "with_schedule_sums"]
