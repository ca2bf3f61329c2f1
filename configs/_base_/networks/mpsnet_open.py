# The open MPS-Net, for the features of the free start model. Its regressor has the form of the start model's head.
network = dict(
    type='MPSNet', features=256, hidden=128, attention=128, map_pairing='paired',
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
