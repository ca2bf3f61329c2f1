# The open TCMR, for the features of the free start model. Its regressor has the form of the start model's head.
network = dict(
    type='TCMR', features=256, hidden=128, attention=128,
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
