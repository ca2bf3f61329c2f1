# The synthetic source model of train_surreal.py on 3DPW, without adaptation.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/latent_r50.py', '../_base_/datasets/threedpw_spin.py']

adapter = dict(type='Source')
