# 3DHR-Co of r18 on real4, with the free TCMR as teacher, as in configs/3dhrco/r18_tcmr_open.py.
_base_ = [
    '../dynaboa/r18_wild.py', '../_base_/adapters/pre_adapt_open.py', '../_base_/teachers/tcmr_open.py',
    '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
adapter = dict(
    _delete_=True, type='Regeneration',
    pre=dict(_base_.pop('pre_adapt'), teacher=_base_.pop('teacher')), online=_base_.adapter)
