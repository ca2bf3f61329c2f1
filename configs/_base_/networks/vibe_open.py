# The open VIBE, for the features of the free start model. It is bidirectional, as in the paper.
network = dict(
    type='VIBE', features=256, hidden=128, layers=2, bidirectional=True,
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
