# TrackFit of LandmarkHMR on real4, as it runs on the free stream.
_base_ = ['../track_fit/lifter_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), _delete_=True)
evaluator = dict(_base_.pop('real4_evaluator'))
