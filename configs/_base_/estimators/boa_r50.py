# BOA's network and file (Guan et al., CVPR 2021): SPIN's network with group normalisation.
_base_ = './spin.py'

estimator = dict(backbone=dict(norm='gn', groups=4), weights='data/boa/basemodel.pt')
