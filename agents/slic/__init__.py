"""SLiC: four losses that calibrate likelihoods to a ranking, and the agent that samples what is ranked."""

from .calibrations import CALIBRATIONS, Calibration, listwise, margin, rank, reward
from .likelihood_calibration import SLiC, SLiCLoss

__all__ = ["CALIBRATIONS", "Calibration", "SLiC", "SLiCLoss", "listwise", "margin", "rank", "reward"]
