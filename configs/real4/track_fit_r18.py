# TrackFit of r18, with the depth of LandmarkHMR, on real4, as in configs/track_fit/r18_wild.py.
_base_ = ['../track_fit/r18_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
