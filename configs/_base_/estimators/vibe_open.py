# The open VIBE behind the free start model, as one estimator of clips. It looks both ways, as in the paper.
_image = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=32),
    head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
    resolution=112,
    body=dict(type='BodyModel', file='open'),
    weights='open:r18_studio')
_network = dict(
    type='VIBE', features=256, hidden=128, layers=2, bidirectional=True,
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
estimator = dict(
    type='VideoHMR', image=_image, network=dict(_network, weights='open:vibe_open'), window=16, body=_image['body'])
