# The synthetic source model of train_surreal.py on Human3.6M, protocol 2, without adaptation.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/latent_r50.py', '../_base_/datasets/h36m_p2.py']

adapter = dict(type='Source')
