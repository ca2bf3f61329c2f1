# 3DHR-Co of r18 on real4, with LandmarkHMR as teacher, as in configs/3dhrco/r18_lifter_open.py.
_base_ = [
    '../dynaboa/r18_wild.py', '../_base_/adapters/pre_adapt_open.py', '../_base_/teachers/lifter.py',
    '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
adapter = dict(
    _delete_=True, type='Regeneration', online=_base_.adapter,
    pre=dict(_base_.pop('pre_adapt'), teacher=_base_.pop('lifter_teacher')))
