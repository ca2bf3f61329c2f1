# configs/dynaboa/hmr2_small_wild.py on real4.
_base_ = ['../dynaboa/hmr2_small_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
