# The open MPS-Net with its weights, as a teacher.
_base_ = '../networks/mpsnet_open.py'

teacher = dict(
    type='TemporalTeacher', network=dict(_base_.pop('network'), weights='open:mpsnet_open'), border='clamp')
