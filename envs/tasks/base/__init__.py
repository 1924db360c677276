"""What tasks are made of: laws, splits, requests and numbers that are the same everywhere."""

from seqil import Task

from .requests import check_range, check_request, foreign_prompt, split_of
from .right_answer import RightAnswerTask
from .sampled import SampledTask

__all__ = ["RightAnswerTask", "SampledTask", "Task", "check_range", "check_request", "foreign_prompt", "split_of"]
