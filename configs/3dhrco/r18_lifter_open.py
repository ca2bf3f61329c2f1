# 3DHR-Co of the r18 start model on the free wild stream, with LandmarkHMR as teacher: it has seen real people through
# BlazePose, the student has not.
_base_ = ['../dynaboa/r18_wild.py', '../_base_/adapters/pre_adapt_open.py']

adapter = dict(
    _delete_=True, type='Regeneration', online=_base_.adapter,
    pre=dict(_base_.pop('pre_adapt'), teacher=dict(
        type='EstimatorTeacher',
        estimator=dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open'), weights='open:lifter'))))
