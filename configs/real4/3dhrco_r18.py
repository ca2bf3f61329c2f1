# 3DHR-Co of the free start model on real4, with the free TCMR as teacher, as it runs on the free stream.
_base_ = ['../3dhrco/r18_tcmr_open.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(protocol='real4')
