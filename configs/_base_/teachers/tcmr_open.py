# The open TCMR with its weights, as a teacher.
_base_ = '../networks/tcmr_open.py'

teacher = dict(
    type='TemporalTeacher', network=dict(_base_.pop('network'), weights='open:tcmr_open'), border='clamp')
