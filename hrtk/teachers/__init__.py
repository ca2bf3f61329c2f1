"""Teachers: networks that label frames for others to learn from."""

from hrtk.teachers.base import Teacher
from hrtk.teachers.estimator import EstimatorTeacher
from hrtk.teachers.temporal import TemporalTeacher
from hrtk.teachers.windows import BORDERS, window_indices

__all__ = ['BORDERS', 'EstimatorTeacher', 'Teacher', 'TemporalTeacher', 'window_indices']
