# The open TCMR, for the features of the free start model; its regressor has the start model's form.
_network = dict(
    type='TCMR', features=256, hidden=128, attention=128,
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
_teacher = dict(type='TemporalTeacher', network=dict(_network, weights='open:tcmr_open'), border='clamp')
