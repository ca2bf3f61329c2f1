# DynaBOA of r18 on real4, as it runs on the free stream.
_base_ = ['../dynaboa/r18_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
