# configs/dynaboa/lifter_until.py on real4.
_base_ = ['../dynaboa/lifter_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
adapter = dict(until=4.5, max_extra=11, exemplars=dict(batch=1))
