# 3DHR-Co of LandmarkHMR on real4, as in configs/3dhrco/lifter_open.py.
_base_ = [
    '../dynaboa/lifter_wild.py', '../_base_/adapters/pre_adapt_lifter.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
adapter = dict(_delete_=True, type='Regeneration', online=_base_.adapter, pre=_base_.pop('pre_adapt_lifter'))
