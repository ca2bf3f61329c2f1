# 3DHR-Co of the r18 start model on the free wild stream, with LandmarkHMR as teacher: it has seen real people through
# BlazePose, the student has not.
_base_ = ['../dynaboa/r18_wild.py', '../_base_/adapters/pre_adapt_open.py', '../_base_/teachers/lifter.py']

adapter = dict(
    _delete_=True, type='Regeneration', online=_base_.adapter,
    pre=dict(_base_.pop('pre_adapt'), teacher=_base_.pop('lifter_teacher')))
