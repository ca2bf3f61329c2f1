# The released VIBE (Kocabas et al., CVPR 2020) behind SPIN on 3DPW, scored as its authors do. Files below data/.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/threedpw_vibe.py']

estimator = dict(
    _delete_=True, type='VideoHMR', image=_base_.estimator,
    network=dict(type='VIBE', weights='data/vibe/vibe_model_wo_3dpw.pth.tar'), window=16,
    body=_base_.estimator.body)
adapter = dict(type='Source')
