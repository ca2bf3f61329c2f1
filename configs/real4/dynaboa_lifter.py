# DynaBOA of LandmarkHMR on real4, as in configs/dynaboa/lifter_wild.py.
_base_ = ['../dynaboa/lifter_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
