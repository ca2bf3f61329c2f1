# The free start model's network: SPIN's form with a ResNet-18 of half width, 112 px crops, 3.4 M parameters.
estimator = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=32),
    head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
    resolution=112,
    body=dict(type='BodyModel', file='open'))
