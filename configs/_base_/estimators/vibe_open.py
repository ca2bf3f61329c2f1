# The open VIBE behind the free start model, as one estimator of clips. It needs the weights of VIBE.
_base_ = ['./hmr_r18.py', '../networks/vibe_open.py']

estimator = dict(
    _delete_=True, type='VideoHMR', image=dict(_base_.estimator, weights='open:r18_studio'),
    network=_base_.pop('network'), window=16, body=_base_.estimator.body)
