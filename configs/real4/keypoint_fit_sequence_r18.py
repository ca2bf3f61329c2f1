# configs/keypoint_fit/r18_sequence.py on real4.
_base_ = ['../keypoint_fit/r18_sequence.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
